FROM debian AS seed
FROM debian
ARG TYPE=cache
RUN --mount=type=$TYPE,target=/root/.cache,sharing=locked \
    --mount=type=cache,id=go,target=/go,from=seed,source=../mod,mode=0700,uid=1000,gid=1000,ro \
    --mount=type=tmpfs,target=/tmp/,size=64m \
    --mount=type=tmpfs,target=/scratch make
RUN --mount=type=secret,id=token \
    --mount=type=secret,target=/etc/key.pem,required,mode=0440,uid=7 \
    --mount=type=secret,id=npm,env=NPM_TOKEN \
    --mount=type=ssh --mount=type=ssh,id=deploy,required=true make
