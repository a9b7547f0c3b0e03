FROM scratch
WORKDIR /app
COPY a b
COPY a ./
COPY a .
COPY a b c/
COPY a ../../x
COPY ../a d/../e/.
COPY . .
COPY ["b c", "/d e/"]
