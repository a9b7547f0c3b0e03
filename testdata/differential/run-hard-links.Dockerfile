FROM busybox
RUN echo x > /a && ln /a /b && ln /a /c
