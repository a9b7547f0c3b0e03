FROM debian
RUN <<EOF
set -e
echo $A "b"
EOF
RUN <<-'EOT'
	tabs go
	EOT
RUN cat <<A - 3<<-"B" && echo done
one
A
	two
B
RUN <<EOF
EOF
