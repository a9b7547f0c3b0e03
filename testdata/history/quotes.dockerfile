FROM scratch
ENV A="a\"b" B='single $A' C=a\ b D=${A:-x}
LABEL q="with \"quotes\"" 'k k'="v v" multi="a \
b"
CMD [ "x" , "y" ]
