"""What start-microservice does: manifests, and where microservices run; and the supervision by `inlier up`."""
