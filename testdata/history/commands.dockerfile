FROM scratch
CMD echo "hi" $HOME
