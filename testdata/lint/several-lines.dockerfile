FROM alpine
ENV A=1 \
    B=$C \
    D=2
COPY <<END /x
$one
$two
END
