FROM scratch
ONBUILD COPY a /a
onbuild   run  echo   hi
ONBUILD ENV A=1
