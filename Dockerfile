# An image that carries the plugin's binary to Vault: an init container copies it out
# of /plugins, or /plugins is mounted as an image volume. See docs/deploy.md. It is
# not a way to run the plugin, which only Vault can start.
#
#   docker build --build-arg VERSION=v1.2.3 \
#       --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" -t NAME:v1.2.3 .
#
# BuildKit is needed, which docker and podman have: it says what to build for, so that
# --platform=linux/amd64,linux/arm64 makes an image for each. The binary is the release's,
# byte for byte, if that was made with this Go.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
# Without values of their own: one that is written here would take the place of what
# the builder passes, and an image for arm64 would hold a binary for amd64.
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG SOURCE_DATE_EPOCH
WORKDIR /src
COPY . .
RUN PLATFORMS="${TARGETOS:?build with BuildKit}/${TARGETARCH:?build with BuildKit}" RELEASE_DIR=/plugins scripts/release.sh

# For a shell and cp; scratch has neither.
FROM busybox:1.37.0
COPY --from=build /plugins /plugins
USER 65534:65534
CMD ["cat", "/plugins/REGISTER.md"]
