"""Messages of the gRPC protocols; scripts/protos generates the modules from the .proto files."""
