FROM --platform=linux/amd64/v2/x debian
FROM --platform=li%ux debian
FROM --platform=$NOTHING debian
