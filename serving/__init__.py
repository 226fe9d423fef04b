"""Models behind wires: microservice, proxy, deployment, command line."""
