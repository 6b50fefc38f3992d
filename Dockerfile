# Needs: a volume at /data, and GYMSERVE_DATABASE for another database than SQLite's file in it.
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends libegl1 libgl1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /data gymserve && install -d -o gymserve /data
WORKDIR /app
COPY . .
# Compiled here, since the user below cannot write the compiled files.
RUN pip install --no-cache-dir -c constraints.txt -e ".[server,environments,compression,media,datasets,s3,postgresql,mariadb]" \
    && python -m compileall -q gym_http_server.py gymserve client grader
USER gymserve
ENV GYMSERVE_HOST=0.0.0.0 GYMSERVE_AUTH=token GYMSERVE_DATA=/data MUJOCO_GL=egl PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health/live')"]
CMD ["python", "gym_http_server.py"]
