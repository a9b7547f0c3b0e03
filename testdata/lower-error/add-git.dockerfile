FROM scratch
ADD https://git.example/a.git#main /src
ADD git@git.example:a /src
ADD --keep-git-dir=true a /b
