package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry"
)

// storageKinds are the supported kinds of storage, with their parameters.
var storageKinds = map[string][]string{
	"filesystem": {"rootdirectory", "maxthreads"},
	"s3":         s3Parameters,
	"s3aws":      s3Parameters,

	storageGlance: {"region", "interface"},
}

var s3Parameters = []string{
	"accelerate", "accesskey", "bucket", "chunksize", "encrypt", "forcepathstyle", "keyid", "loglevel",
	"multipartcopychunksize", "multipartcopymaxconcurrency", "multipartcopythresholdsize", "objectacl",
	"redirectendpoint", "region", "regionendpoint", "rootdirectory", "secretkey", "secure", "skipverify",
	"storageclass", "usedualstack", "usefipsendpoint", "useragent", "v4auth",
}

// storageSettings are for any kind of storage.
var storageSettings = map[string][]string{
	"maintenance": {"uploadpurging", "readonly"},
	"cache":       {"blobdescriptor", "layerinfo", "blobdescriptorsize"},
	"delete":      {"enabled"},
	"redirect":    {"disable"},
	"tag":         {"concurrencylimit"},
}

// CheckSupported refuses what would have no effect: what ndock does in another way than distribution's own program, and
// what is not built in, which distribution ignores.
func CheckSupported(c *configuration.Configuration) error {
	if err := supportedStorage(c.Storage); err != nil {
		return err
	}
	if err := supportedMiddleware(c.Middleware); err != nil {
		return err
	}
	tls, health, debug := c.HTTP.TLS, c.Health, c.HTTP.Debug
	for _, one := range []struct {
		said bool
		key  string
		hint string
	}{
		{c.Log.Formatter != "" && c.Log.Formatter != "text", "log.formatter", "give --log-format"},
		{c.Log.Level != "" && c.Log.Level != "info", "log.level", "give --debug to see more"},
		{len(c.Log.Hooks) > 0, "log.hooks", ""},
		{c.Log.ReportCaller, "log.reportcaller", ""},
		{c.HTTP.Net != "" && c.HTTP.Net != "tcp", "http.net " + c.HTTP.Net, ""},
		{len(tls.ClientCAs) > 0 || tls.ClientAuth != "", "http.tls.clientcas", ""},
		{len(tls.CipherSuites) > 0, "http.tls.ciphersuites", "Go's own are used, those that are safe"},
		{tls.MinimumTLS != "" && tls.MinimumTLS != "tls1.2" && tls.MinimumTLS != "tls1.3", "http.tls.minimumtls " + tls.MinimumTLS, "there are tls1.2 and tls1.3"},
		{tls.LetsEncrypt.CacheFile != "" || tls.LetsEncrypt.Email != "" || len(tls.LetsEncrypt.Hosts) > 0, "http.tls.letsencrypt", "have another program renew the certificate: it is read again when it changes"},
		{debug.Prometheus.Path != "" && debug.Prometheus.Path != "/metrics", "http.debug.prometheus.path", "it is /metrics"},
		{len(health.FileCheckers)+len(health.HTTPCheckers)+len(health.TCPCheckers) > 0, "health.file, .http, .tcp", "health is that of the storage"},
	} {
		if one.said {
			return &registry.Error{Err: errors.New(one.key + " is not supported"), Help: one.hint}
		}
	}
	return nil
}

func supportedStorage(storage configuration.Storage) error {
	if _, ok := storage["delete"]["enabled"].(bool); len(storage["delete"]) > 0 && !ok {
		return errors.New("storage.delete.enabled is neither true nor false")
	}
	for kind, parameters := range storage {
		known, ok := storageKinds[kind]
		if !ok {
			known, ok = storageSettings[kind]
		}
		if !ok {
			return fmt.Errorf("storage.%s is not built in; there is storage.%s", kind, strings.Join(slices.Sorted(maps.Keys(storageKinds)), ", storage."))
		}
		for name := range parameters {
			if !slices.Contains(known, name) {
				return fmt.Errorf("storage.%s.%s is not known", kind, name)
			}
		}
	}
	return nil
}

// supportedMiddleware refuses all middleware: none is built in.
func supportedMiddleware(all map[string][]configuration.Middleware) error {
	for kind, list := range all {
		for _, one := range list {
			if !one.Disabled {
				return fmt.Errorf("middleware.%s %s is not built in", kind, one.Name)
			}
		}
	}
	return nil
}
