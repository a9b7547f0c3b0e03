FROM scratch AS one
COPPY a /
FORM one
COPY --from=one a /
EXPOSE http
