# `make` alone lists the targets. Each is one command; everything it needs is set up on first use.
# Variables go on the command line: TARGET=embedded|localstack|aws, STAGE=dev, AWS_ENDPOINT_URL, CACHE_URL, PYTHON.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
VENV := .venv
PY := $(VENV)/bin/python
INFRA := $(PY) -m infra
READY := $(VENV)/.stamp
# every documented target is a command, not a file
.PHONY: broken $(shell sed -n 's/^\([a-z_-]*\):.*\#\# .*/\1/p' Makefile)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## start everything and run the whole journey, from registration to fresh bills
	@$(INFRA) demo
up: $(READY) ## start the engine and the cache; deploy when nothing is deployed yet
	@$(INFRA) up
up_build: $(READY) ## as up, with a fresh build and deploy
	@$(INFRA) up --build
down: $(READY) ## stop what `make up` started; the data stays
	@$(INFRA) down
restart: $(READY) ## down, then up
	@$(INFRA) restart
reset: $(READY) ## down, then delete all local data
	@$(INFRA) reset
status: $(READY) ## what runs, where, and what is deployed
	@$(INFRA) status
url: $(READY) ## print the API's base URL
	@$(INFRA) url
logs: $(READY) ## the functions' logs (FN=BillApi one function, SINCE=10 minutes, FOLLOW=1 go on)
	@$(INFRA) logs
build: $(READY) ## build the functions' artefacts
	@$(INFRA) build
deploy: $(READY) ## build, make the signing key, deploy the stack, migrate (STAGE=… names the stage)
	@$(INFRA) deploy
migrate: $(READY) ## run the migrations that have not run yet (SERVICE=… for one service)
	@$(INFRA) migrate
migrations: $(READY) ## which migrations are done, pending, running or abandoned, since when, and how far they came
	@$(INFRA) migrations
rollback: $(READY) ## take back the last migration (N=2 the last two, SERVICE=… of one service)
	@$(INFRA) rollback
rotate-keys: $(READY) ## let a new key sign access tokens, with overlap: nobody is logged out (FORCE=1 at once again)
	@$(INFRA) rotate-keys
seed: $(READY) ## make a demo user with linked accounts, through the API
	@$(INFRA) seed
admin: $(READY) ## give a user the role admin (EMAIL=…)
	@$(INFRA) admin
dlq: $(READY) ## list the messages that the workers gave up, with their reasons (LIMIT=20 of each queue)
	@$(INFRA) dlq
redrive: $(READY) ## give them back to their queue, once what was wrong is mended (QUEUE=RefreshQueue LIMIT=10)
	@$(INFRA) redrive
restore: $(READY) ## what a table has lost, from a copy of how it was (TABLE=BillsTable AT=2026-01-31T12:00:00Z, then FROM=… APPLY=1)
	@$(INFRA) restore
invoke: $(READY) ## run a function in a container by sam local invoke (FN=BillApi EVENT=… TOKEN=…; FN=all: every payload)
	@$(INFRA) invoke
start-api: $(READY) ## serve the API's functions in containers by sam local start-api (PORT=3000), until Ctrl-C
	@$(INFRA) start-api
grpc: $(READY) ## serve the RPC contracts by real gRPC (PORT=50051 HOST=127.0.0.1 CREDENTIALS=1), until Ctrl-C
	@$(INFRA) grpc
test: $(READY) ## unit, contract and integration tests; starts and stops what they need
	@$(INFRA) test
test-unit: $(READY) ## unit and contract tests, with the coverage limit
	@$(INFRA) test unit contract
test-integration: $(READY) ## integration tests against the running platform, or one started for them
	@$(INFRA) test integration
fuzz: $(READY) ## Schemathesis against the running platform and its OpenAPI document (CASES=1000 at least)
	@$(INFRA) fuzz
lint: $(READY) ## ruff, mypy, the template, buf on the contracts, and that generated files are up to date
	@$(INFRA) lint
format: $(READY) ## format the code and mend what ruff can mend
	@$(INFRA) format
protos: $(READY) ## generate code from functions/contracts/rpc/*.proto
	@$(INFRA) protos
protos-release: $(READY) ## publish the contracts as they are: from then on what breaks them fails `make lint`
	@$(INFRA) protos-release
docs: $(READY) ## generate the reference documents
	@$(INFRA) docs
bench: $(READY) ## artefact sizes, cold starts and the other budgets
	@$(INFRA) bench
measure: $(READY) ## what the main flows ask of AWS and how long they take, into docs/measurements.json
	@$(INFRA) measure
cost: $(READY) ## what the platform costs on AWS, of what was measured (FACTOR=2 milliseconds on Lambda for one here)
	@$(INFRA) cost
simulate: $(READY) ## a virtual day of many links: load, lag, calls of utilities, a plot (LINKS=1000000 PER_MINUTE=6000)
	@$(INFRA) simulate
lock: $(READY) ## resolve requirements/*.in into pinned, hashed *.txt (UPGRADE=1 for newer versions)
	@$(INFRA) lock
localstack-up: $(READY) ## start LocalStack and Valkey in Docker
	@$(INFRA) localstack-up
localstack-down: $(READY) ## stop them
	@$(INFRA) localstack-down

# a new interpreter on the machine breaks the old environment: then it is made again
$(READY): requirements/bootstrap.txt requirements/dev.txt infra/venv.sh $(if $(shell $(PY) -c 'print(1)' 2>&-),,broken)
	@PYTHON="$(PYTHON)" sh infra/venv.sh $(VENV)
broken:
