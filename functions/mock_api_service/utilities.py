"""The four utilities of the sandbox. The provider registry's migration and docs/sandbox.md state the same facts."""

from decimal import Decimal

from functions.mock_api_service.model import Basis, Charge, Kind, Utility, UtilityName

NORTHWIND_POWER = Utility(
    name=UtilityName.ELECTRICITY,
    provider_id="prv_northwind_power",
    label="Northwind Power",
    currency="USD",
    time_zone="America/New_York",
    account_format=r"NP-[0-9]{8}",
    account_example="NP-10024817",
    bill_prefix="NP",
    due_days=21,
    unit="kWh",
    daily_usage=Decimal(17),
    usage_step=Decimal(1),
    season=(118, 112, 98, 84, 82, 104, 132, 130, 102, 82, 90, 116),
    tariff="Residential R-1",
    charges=(
        Charge("Generation charge", Kind.GENERATION, Basis.VOLUME, Decimal("0.0921")),
        Charge("Delivery charge", Kind.DELIVERY, Basis.VOLUME, Decimal("0.0643")),
        Charge("Customer charge", Kind.FEE, Basis.BILL, Decimal("12.50")),
        Charge("Sales tax", Kind.TAX, Basis.SUBTOTAL, Decimal("0.0625")),
        Charge("Paperless credit", Kind.CREDIT, Basis.BILL, Decimal("-1.50")),
    ),
)

GREENLINE_GAS = Utility(
    name=UtilityName.GAS,
    provider_id="prv_greenline_gas",
    label="Greenline Gas",
    currency="EUR",
    time_zone="Europe/Berlin",
    account_format=r"[0-9]{10}",
    account_example="4410029375",
    bill_prefix="GL",
    due_days=None,
    unit="m3",
    daily_usage=Decimal("3.4"),
    usage_step=Decimal("0.001"),
    season=(212, 196, 158, 96, 44, 18, 14, 14, 34, 88, 146, 188),
    tariff="Komfort Gas",
    charges=(
        Charge("Commodity charge", Kind.USAGE, Basis.VOLUME, Decimal("0.8120")),
        Charge("Network charge", Kind.DELIVERY, Basis.VOLUME, Decimal("0.2140")),
        Charge("Standing charge", Kind.FEE, Basis.DAY, Decimal("0.3835")),
        Charge("VAT 19%", Kind.TAX, Basis.SUBTOTAL, Decimal("0.19")),
    ),
)

CLEARWATER_UTILITY = Utility(
    name=UtilityName.WATER,
    provider_id="prv_clearwater",
    label="Clearwater Utility",
    currency="GBP",
    time_zone="Europe/London",
    account_format=r"CW[0-9]{7}[A-Z]",
    account_example="CW4819302K",
    bill_prefix="CW",
    due_days=28,
    unit="m3",
    daily_usage=Decimal("0.31"),
    usage_step=Decimal("0.1"),
    season=(92, 90, 93, 97, 106, 116, 122, 118, 105, 95, 90, 92),
    tariff="Metered Standard",
    charges=(
        Charge("Water supply", Kind.USAGE, Basis.VOLUME, Decimal("1.8420")),
        Charge("Sewerage", Kind.DELIVERY, Basis.VOLUME, Decimal("1.1210")),
        Charge("Standing charge", Kind.FEE, Basis.DAY, Decimal("0.1270")),
    ),
)

FIBERNET = Utility(
    name=UtilityName.INTERNET,
    provider_id="prv_fibernet",
    label="Fibernet",
    currency="INR",
    time_zone="Asia/Kolkata",
    account_format=r"FN[0-9]{8}",
    account_example="FN20481537",
    bill_prefix="FN",
    due_days=14,
    unit="GB",
    daily_usage=Decimal("12.5"),
    usage_step=Decimal("0.1"),
    season=(104, 100, 98, 99, 103, 96, 95, 97, 98, 101, 104, 105),
    tariff="Fibre 300",
    charges=(
        Charge("Fibre 300 plan, monthly", Kind.FEE, Basis.BILL, Decimal("1299.00")),
        Charge("Router rental", Kind.OTHER, Basis.BILL, Decimal("99.00")),
        Charge("Metered data", Kind.USAGE, Basis.VOLUME, Decimal("0.4500")),
        Charge("GST 18%", Kind.TAX, Basis.SUBTOTAL, Decimal("0.18")),
    ),
)

UTILITIES = {utility.name: utility for utility in (NORTHWIND_POWER, GREENLINE_GAS, CLEARWATER_UTILITY, FIBERNET)}
