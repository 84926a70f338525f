package config

import (
	"testing"

	"ndock/registry/internal/registrytest"
)

func TestS3OptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"--s3-bucket is missing":                    {S3: S3Options{Endpoint: "http://127.0.0.1:1"}},
		"--s3-endpoint is not a URL":                {S3: S3Options{Bucket: "images", Endpoint: "ceph"}},
		"--s3-endpoint has a login in it":           {S3: S3Options{Bucket: "images", Endpoint: "http://key:secret@ceph"}},
		"--data and --s3-bucket exclude each other": {S3: S3Options{Bucket: "images"}, Data: "/srv"},
	} {
		o.Listen = "127.0.0.1:0"
		registrytest.WantError(t, o.Check(), want)
	}
}
