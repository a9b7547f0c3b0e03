FROM debian
RUN --mount=type=bind,bind-propagation=suid,target=/a x
RUN --mount=type=cache,taget=/a x
RUN --mount=type=tmpfs,target x
ONBUILD RUN --mount=sorce=/a,target=/a x
