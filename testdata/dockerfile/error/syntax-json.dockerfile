{"syntax": "example.org/other/language", "build": []}
