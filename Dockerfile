# The image holds one static binary and nothing else. Mount the files at /etc/mxtrap:
#
#   docker build -t mxtrap .
#   docker run -p 53:53/udp -p 53:53/tcp -v ./configs:/etc/mxtrap:ro mxtrap
#
# The server file must listen on the container's addresses: listen = ["0.0.0.0:53", "[::]:53"].

ARG GO=golang:1.26
FROM ${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=0.1.0
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /mxtrap ./cmd/mxtrap

FROM scratch
COPY --from=build /mxtrap /mxtrap
USER 65532:65532
EXPOSE 53/udp 53/tcp 9153/tcp
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/mxtrap", "health", "--config", "/etc/mxtrap/mxtrap.toml"]
ENTRYPOINT ["/mxtrap"]
CMD ["serve", "--config", "/etc/mxtrap/mxtrap.toml"]
