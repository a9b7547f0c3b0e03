ARG V=1
ARG W
FROM scratch
ARG V
ARG W
ARG Z=$V-x
LABEL v=$V w=$W z=$Z
