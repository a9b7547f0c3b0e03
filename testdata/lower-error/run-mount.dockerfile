FROM debian AS zero
FROM zero
RUN --mount=type=bnid,target=/a x
RUN --mount=type=bind x
RUN --mount=target=/ x
RUN --mount=target=/a,source=*.c x
RUN --mount=target=/a,ro,rw x
RUN --mount=type=cache,target=/a,sharing=none x
RUN --mount=type=cache,target=/a,mode=rwx x
RUN --mount=type=cache,target=/a,uid=root x
RUN --mount=type=tmpfs,target=/a,size=big x
RUN --mount=type=tmpfs,target=/a,from=zero x
RUN --mount=type=secret x
RUN --mount=type=secret,id=a,source=b x
RUN --mount=type=secret,id=a,required=maybe x
