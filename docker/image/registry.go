package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"ndock/docker"
	"ndock/docker/transfer"
)

// RegistryOptions say how to connect to registries.
type RegistryOptions struct {
	Insecure bool // allow plain HTTP and unverified certificates
	Remote   []remote.Option
}

func (o RegistryOptions) parse(text string) (name.Reference, error) {
	parsed, err := name.ParseReference(text)
	if err == nil && (o.Insecure || IsLoopback(parsed.Context().RegistryStr())) {
		parsed, err = name.ParseReference(text, name.Insecure) // tries HTTPS first, too
	}
	if err != nil {
		return nil, &docker.Error{Op: fmt.Sprintf("image %q", "docker://"+text), Err: err}
	}
	return parsed, nil
}

func (o RegistryOptions) remoteOptions(ctx context.Context, more ...remote.Option) []remote.Option {
	return append(append([]remote.Option{remote.WithContext(ctx)}, o.Remote...), more...)
}

// findInRegistry reads manifest and configuration of an image. From an index it takes the image for the platform.
func (t Transports) findInRegistry(ctx context.Context, r Reference) (*Source, error) {
	parsed, err := t.Registry.parse(r.Name)
	if err != nil {
		return nil, err
	}
	op := fmt.Sprintf("image %q", r)
	found, err := remote.Get(parsed, t.Registry.remoteOptions(ctx)...)
	if err != nil {
		return nil, explainRegistry(op, err)
	}
	image, err := t.registryImage(found)
	if err != nil {
		return nil, explainRegistry(op, err)
	}
	source, err := t.layeredSource(r, image, t.Platform) // the index was read for that platform
	if err != nil {
		return nil, explainRegistry(op, err)
	}
	if _, tagged := parsed.(name.Tag); tagged {
		source.Tags = []string{r.Name}
	}
	return source, nil
}

// registryImage returns the image of a registry's answer. From an index it takes the image for the platform.
func (t Transports) registryImage(found *remote.Descriptor) (v1.Image, error) {
	switch {
	case found.MediaType.IsIndex():
		index, err := found.ImageIndex()
		if err != nil {
			return nil, err
		}
		image, _, err := t.platformImage(index, 0)
		return image, err
	case found.MediaType.IsSchema1():
		return nil, checkManifest(found)
	}
	return found.Image()
}

// explainRegistry adds to a registry's answer what may help.
func explainRegistry(op string, err error) *docker.Error {
	var registryErr *transport.Error
	if !errors.As(err, &registryErr) {
		return &docker.Error{Op: op, Err: withHTTPMethod(err), Tip: tipFor(err)}
	}
	before, _, _ := strings.Cut(err.Error(), registryErr.Error()) // what was attempted, if the error says it
	var tls *url.Error
	if errors.As(err, &tls) { // it was attempted first, and the answer came without
		before = strings.Replace(before, tls.Error()+"; ", "", 1)
	}
	explained := &docker.Error{Op: op, Err: errors.New(before + responseText(registryErr))}
	switch registryErr.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		explained.Tip = "'docker login' logs in; logins are read from ~/.docker/config.json and its credential helpers"
	case http.StatusNotFound:
		switch request := registryErr.Request; {
		case request != nil && request.URL != nil && request.URL.Path == "/v2/": // which each registry has
			explained.Tip = "see whether it is a registry that listens at " + request.URL.Host
		case before == "" && isReadRequest(request):
			explained.Err = fmt.Errorf("the registry has no such image: %w", explained.Err)
		}
	case http.StatusMethodNotAllowed:
		explained.Tip = "registries, and proxies in front of them, have to allow HEAD, POST, PATCH and PUT"
	case http.StatusLengthRequired:
		explained.Tip = "a proxy in front of the registry needs each length beforehand: copy the image to oci:DIR first, and that to the registry"
	case http.StatusRequestEntityTooLarge:
		explained.Tip = "a proxy in front of the registry limits how much is sent at once, as nginx does with client_max_body_size"
	}
	return explained
}

// tipFor suggests what to do about a request that the library refuses. The library follows no redirect from a host
// name to a private address: a hostile registry could make it ask what only this host can reach.
func tipFor(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "SSRF protection"):
		return "the registry redirects to a storage by its address in a private network: give the storage a host name, or have the registry send layers itself (storage.redirect.disable)"
	case errors.As(err, &plainHTTPError{}) && strings.Contains(text, "/blobs/uploads/"):
		return "the registry was reached with TLS, and wants the image at an address without TLS: the proxy in front of it has to pass on X-Forwarded-Proto and Host"
	case strings.Contains(text, "error getting credentials"):
		return "Docker's config.json names a credential helper (credsStore, credHelpers), which has to be installed and to answer; an empty config.json in DOCKER_CONFIG does without logins"
	}
	return trustTip(err)
}

// trustTip suggests how to trust the host that the request was for.
func trustTip(err error) string {
	var request *url.Error
	if !errors.As(err, &request) {
		return ""
	}
	asked, bad := url.Parse(request.URL)
	if bad != nil {
		return ""
	}
	return transfer.TrustHint(err, asked.Host)
}

func isReadRequest(r *http.Request) bool {
	return r == nil || r.Method == http.MethodGet || r.Method == http.MethodHead
}

// withHTTPMethod writes method and address of a net/http error as HTTP does, and says in words why there was no answer.
// docker.Error removes the signature from the address when the error is printed.
func withHTTPMethod(err error) error {
	var request *url.Error
	if !errors.As(err, &request) {
		return err
	}
	why := request.Err
	if reason := transfer.NoAnswer(why); reason != "" {
		why = transfer.Reword(reason, why)
	}
	return fmt.Errorf("%s %s: %w", strings.ToUpper(request.Op), request.URL, why)
}

// responseText returns the registry's own message. It adds the status if there is no message, or if the registry is
// busy or failed.
func responseText(registryErr *transport.Error) string {
	text := ""
	for _, one := range registryErr.Errors {
		if text != "" {
			text += "; "
		}
		text += one.Message
	}
	if text == "" && registryErr.StatusCode < http.StatusBadRequest {
		return fmt.Sprintf("no registry answers this with %d %s: it is none, or %s answers for it", registryErr.StatusCode, http.StatusText(registryErr.StatusCode), intermediaries)
	}
	if text == "" {
		return fmt.Sprintf("the registry answered %d %s", registryErr.StatusCode, http.StatusText(registryErr.StatusCode))
	}
	if registryErr.StatusCode == http.StatusTooManyRequests || registryErr.StatusCode >= http.StatusInternalServerError {
		return fmt.Sprintf("%s (%d %s)", text, registryErr.StatusCode, http.StatusText(registryErr.StatusCode))
	}
	return text
}
