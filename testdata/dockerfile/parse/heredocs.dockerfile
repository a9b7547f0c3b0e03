FROM scratch
RUN <<EOF
echo one # not a comment
# not a comment of the Dockerfile \
FROM nothing
EOF
RUN python3 <<'PY' && cat <<"B" 3<<-C
print("$HOME")
PY
$kept
B
		chomped
	C
COPY <<-a.txt <<'b c' plain /dest/
	$A
	a.txt
"b"
b c
ADD --chmod=644 <<EOF \
  # note
  /file
EOF
ONBUILD RUN <<-EOF
	later
EOF
RUN ["<<EOF"]
RUN echo "<<EOF" '<<EOF' x<<EOF <<<EOF
CMD cat <<EOF
COPY <<  EOF /spaced
EOF
