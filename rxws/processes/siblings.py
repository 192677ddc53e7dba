"""How many processes serve the same application, this one included; `rxws.run(app, workers=N)` says so in each."""

count = 1
