"""What tests of several parts share: fakes of the few things that are abstracted, tokens, API Gateway events."""
