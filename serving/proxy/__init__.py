"""The proxy: clients and their keys, the gateway to the microservices; a Flask application."""
