package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // what can be configured
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"

	"ndock/registry"
)

// s3Timeout is how long an S3 service may take to answer at the start.
const s3Timeout = 15 * time.Second

// CheckBucket tries an S3 service, because distribution would notice only at the first push.
func (s *Store) CheckBucket(ctx context.Context, storage configuration.Storage) error {
	said := storage.Parameters()
	ctx, cancel := context.WithTimeout(ctx, s3Timeout)
	defer cancel()
	err := s.Probe(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer in %s", s3Timeout)
	}
	at := ""
	if endpoint, ok := said["regionendpoint"]; ok {
		at = fmt.Sprintf(" on %s", endpoint)
	}
	return &registry.Error{Op: fmt.Sprintf("use bucket %q%s", said["bucket"], at), Err: err, Help: s3Hint(err)}
}

// s3Code returns the code of an S3 service's error; empty for other errors.
func s3Code(err error) string {
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		return coded.Code()
	}
	return ""
}

// A serviceError is the error of an S3 service, without what only developers of the driver need.
type serviceError struct {
	text  string
	cause error
}

func (e *serviceError) Error() string { return e.text }

// Unwrap returns the cause.
func (e *serviceError) Unwrap() error { return e.cause }

// explainStorage makes a sentence of a storage's error.
func explainStorage(err error) error {
	var wrapped storagedriver.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Detail
	}
	var service interface {
		Code() string
		Message() string
		OrigErr() error
	}
	switch {
	case !errors.As(err, &service):
		return err
	case service.Code() == "NoCredentialProviders":
		return &serviceError{"there are no keys", err}
	case service.Code() == "RequestError" && service.OrigErr() != nil:
		return service.OrigErr()
	}
	return &serviceError{service.Code() + ": " + strings.TrimSuffix(service.Message(), "."), err}
}

func s3Hint(err error) string {
	switch s3Code(err) {
	case "NoSuchBucket":
		return "create the bucket"
	case "NoCredentialProviders":
		return "put the keys into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or into the configuration file"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
		return "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, at --s3-region, and at who may write to the bucket"
	}
	return ""
}
