FROM scratch
ENV A=1 B="two words" C='$A'
ENV A=2 D=$A E=${B}x
ENV F the rest of the line
ENV ${F%%e*}_G=1
