# spectral-doctor on the CPU. Reading needs no PyTorch, and the image has none:
#     docker build -t spectral-doctor .
#     docker run --rm -v "$PWD/runs:/data:ro" spectral-doctor inspect /data
# With PyTorch (fix, train, --witness): docker build --build-arg TORCH=1 -t spectral-doctor:torch .
FROM python:3.13-slim

ARG TORCH=0
WORKDIR /opt/spectral-doctor
COPY pyproject.toml README.md LICENSE requirements-reading.txt ./
COPY spectral_doctor ./spectral_doctor
RUN pip install --no-cache-dir -r requirements-reading.txt \
    && if [ "$TORCH" = 1 ]; then pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu; fi \
    && pip install --no-cache-dir --no-deps . \
    && rm -rf /opt/spectral-doctor/* \
    && useradd --create-home doctor

USER doctor
WORKDIR /data
ENTRYPOINT ["spectral-doctor"]
CMD ["--help"]
