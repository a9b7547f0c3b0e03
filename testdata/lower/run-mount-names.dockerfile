FROM debian AS build
FROM debian
RUN --mount=type=bind,from=build,src=/a,dst=/a,ro --mount=type=bind,from=build,source=b,destination=/b,readwrite \
    --mount=type=bind,from=0,target=/c,rw=false --mount=from=build,target=/d,readonly=true \
    --mount=TYPE=cache,Target=/e,sharing=shared --mount=type=cache,target=/f,sharing=private,readonly \
    --mount=type=tmpfs,dst=/g,size=1GB --mount=type=secret,src=token,dst=/h,required=false,mode=0400,gid=5 \
    --mount=type=ssh,target=/i,mode=0600,uid=1,gid=2 x
