FROM scratch
ADD https://git.example/a.git /src
ADD --keep-git-dir https://git.example/a.git#v1:docs/api /docs
ADD --keep-git-dir=false --checksum=ABC123 --exclude=*.md git@git.example:group/a.git?submodules=0 /src
ADD git://git.example/a?commit=0123456789012345678901234567890123456789&fetch-by-commit /src
