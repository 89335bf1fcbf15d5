#!/usr/bin/python3
"""read.py ENDPOINT BUCKET KEY - the object's bytes, on standard output."""
import sys

import boto3
from botocore.config import Config

endpoint, bucket, key = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1",
                  config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
sys.stdout.buffer.write(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
