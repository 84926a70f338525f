package config

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/distribution/distribution/v3/configuration"
)

// S3Options name a bucket. Its keys come from the environment or the configuration file only.
type S3Options struct {
	Bucket   string
	Endpoint string // URL; Amazon's without
	Region   string
	Prefix   string // of the objects' names
}

// Check returns what is wrong with the options.
func (o S3Options) Check() error {
	if o.Bucket == "" {
		if o != (S3Options{}) {
			return errors.New("--s3-bucket is missing")
		}
		return nil
	}
	if o.Endpoint == "" {
		return nil
	}
	return checkURL("--s3-endpoint", o.Endpoint)
}

// checkURL refuses what is not the URL of a server, and logins in it, because all users of the host can see options.
func checkURL(flag, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%s is not a URL such as https://HOST:PORT", flag)
	case u.User != nil:
		return fmt.Errorf("%s has a login in it, which all on this host can see", flag)
	}
	return nil
}

func (o S3Options) parameters() configuration.Parameters {
	p := configuration.Parameters{"bucket": o.Bucket, "region": o.Region}
	if o.Region == "" {
		p["region"] = "us-east-1" // what other services than Amazon's take
	}
	if o.Endpoint != "" {
		p["regionendpoint"], p["forcepathstyle"] = o.Endpoint, true // few have a host name for each bucket
	}
	if o.Prefix != "" {
		p["rootdirectory"] = o.Prefix
	}
	return p
}
