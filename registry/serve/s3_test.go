package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

// What an S3 service refuses is told at the start, in a sentence. (That it works is for testdata/e2e, with a real one.)
func TestBucketIsRefused(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	code, message, status := "", "", 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	}))
	defer service.Close()
	o := config.Options{Listen: "127.0.0.1:0", S3: config.S3Options{Bucket: "images", Endpoint: service.URL}, Log: slog.New(slog.DiscardHandler)}
	at := fmt.Sprintf("use bucket %q on %s: write: ", "images", service.URL)
	code, message, status = "NoSuchBucket", "The bucket is not there.", 404
	registrytest.WantError(t, Serve(t.Context(), o), at+"NoSuchBucket: The bucket is not there")
	code, message, status = "SignatureDoesNotMatch", "Look at the key.", 403
	err := Serve(t.Context(), o)
	registrytest.WantError(t, err, at+"SignatureDoesNotMatch: Look at the key")
	if hint := registry.HintOf(err); hint == "" {
		t.Error("there is no hint")
	}
	o.S3.Endpoint = "http://127.0.0.1:1"
	registrytest.WantError(t, Serve(t.Context(), o), "dial tcp 127.0.0.1:1: connect: connection refused")
}
