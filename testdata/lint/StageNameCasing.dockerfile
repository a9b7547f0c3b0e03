FROM scratch AS Builder
FROM Builder AS final
