# Yours to change: everything without a default.
bucket_name     = "example-uploads"
image           = "public.ecr.aws/example/presignd:1.0.0"
certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/6f1d6f4e-2c3b-4a59-8f7e-0d1c2b3a4958"
origins         = ["https://app.example.com"]
issuer          = "https://login.example.com/"
jwks_url        = "https://login.example.com/.well-known/jwks.json"
