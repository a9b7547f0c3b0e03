FROM scratch
ADD --checksum=sha256:00 https://h.example/a /b
ADD --checksum=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef a /b
ADD --checksum=abc https://h.example/a.git https://h.example/b.git /b/
ADD --checksum=main https://h.example/a.git /b
ADD --checksum=abc https://h.example/a.git?commit=def /b
ADD --keep-git-dir https://h.example/a.git?keep-git-dir=false /b
ADD https://h.example/a.git?depth=1 /b
ADD https://h.example/a.git#--upload-pack=x /b
ADD https://h.example/a.git?fetch-by-commit=true /b
ADD https:///x /b
COPY https://h.example/a /b
COPY git@h.example:a /b
