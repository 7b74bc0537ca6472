# The image of every service of docker-compose.yaml that runs Python; docs/server-installation.md.
FROM python:3.11-slim

# socat joins the mail sandbox, which listens on loopback only, to the other containers
RUN apt-get update \
    && apt-get install --yes --no-install-recommends socat \
    && rm -rf /var/lib/apt/lists/*

# The locks alone, so that changed code does not install anew. They are complete: without
# --no-deps pip stumbles over an extra that they pin.
COPY requirements.txt requirements-server.txt /tmp/locks/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
    -r /tmp/locks/requirements.txt -r /tmp/locks/requirements-server.txt

# The code belongs to root, so that nothing in the container can change it; what is written lies
# in folders that become volumes and take their owner from here. Airflow insists on a
# configuration file; ours is empty and the environment says everything.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/winback --shell /usr/sbin/nologin winback \
    && mkdir -p /opt/airflow /var/lib/winback /var/log/winback /data \
    && touch /opt/airflow/airflow.cfg \
    && chown winback:winback /var/lib/winback /var/log/winback \
    && chmod 700 /var/lib/winback /var/log/winback

WORKDIR /opt/winback
COPY dags dags
COPY plugins plugins
COPY dbt_project dbt_project
COPY expectations expectations
COPY campaigns campaigns
COPY config config
COPY benchmarks benchmarks
# readable even from a checkout that only its owner may read
RUN chmod -R a+rX /opt/winback && python -m compileall -q plugins dags expectations benchmarks

ENV PYTHONPATH=/opt/winback/plugins:/opt/winback \
    WINBACK_HOME=/var/lib/winback \
    WINBACK_DATA=/data \
    AIRFLOW_HOME=/var/lib/winback/airflow \
    AIRFLOW_CONFIG=/opt/airflow/airflow.cfg \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/winback/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/winback/plugins \
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=/var/lib/winback/airflow/passwords.json \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/var/log/winback/airflow \
    AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY=/var/log/winback/airflow/dag_processor

USER winback
CMD ["python", "-m", "winback", "--help"]
