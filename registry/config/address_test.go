package config

import (
	"slices"
	"testing"

	"ndock/registry/auth/keystone"
	"ndock/registry/internal/registrytest"
)

func TestAddress(t *testing.T) {
	for listen, want := range map[string]struct {
		loopback, everywhere, privileged bool
		local                            string
	}{
		"127.0.0.1:5000":      {loopback: true, local: "127.0.0.1:5000"},
		"127.1.2.3:5000":      {loopback: true, local: "127.1.2.3:5000"},
		"localhost:443":       {loopback: true, privileged: true, local: "localhost:443"},
		"[::1]:5000":          {loopback: true, local: "[::1]:5000"},
		"0.0.0.0:5000":        {everywhere: true, local: "127.0.0.1:5000"},
		":5000":               {everywhere: true, local: "127.0.0.1:5000"},
		"[::]:80":             {everywhere: true, privileged: true, local: "[::1]:80"},
		"192.0.2.1:5000":      {local: "192.0.2.1:5000"},
		"localhost.evil:5000": {local: "localhost.evil:5000"},
	} {
		at, err := ParseAddress(listen)
		if err != nil {
			t.Errorf("%s: %v", listen, err)
		}
		if at.Loopback() != want.loopback || at.everywhere() != want.everywhere || at.Privileged() != want.privileged || at.Local() != want.local {
			t.Errorf("%s: loopback %t, everywhere %t, privileged %t, local %s", listen, at.Loopback(), at.everywhere(), at.Privileged(), at.Local())
		}
	}
	for listen, want := range map[string]string{
		"5000": "is not HOST:PORT", "": "is not HOST:PORT", "::1:5000": "is not HOST:PORT",
		"localhost:http": "has no port", "localhost:65536": "has no port", "localhost:": "has no port",
	} {
		_, err := ParseAddress(listen)
		registrytest.WantError(t, err, want)
	}
}

func TestNamesOfEverywhere(t *testing.T) {
	names := Address{Port: "5000"}.Names()
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing in %v", name, names)
		}
	}
}

func TestServeOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"":                           {Listen: "127.0.0.1:0", Data: "d"},
		"is not HOST:PORT":           {Listen: "x", Data: "d"},
		"--data is missing":          {Listen: "127.0.0.1:0"},
		"go together":                {Listen: "127.0.0.1:0", Data: "d", KeyFile: "k"},
		"plain HTTP on 0.0.0.0:5000": {Listen: "0.0.0.0:5000", Data: "d"},
		"plain HTTP on :5000":        {Listen: ":5000", Data: "d"},
		"--keystone is missing":      {Config: "registry.yml", Keystone: keystone.Options{Domain: "d"}},
	} {
		registrytest.WantError(t, o.Check(), want)
	}
	registrytest.WantError(t, Options{Listen: ":5000", Data: "d", Insecure: true}.Check(), "")
	registrytest.WantError(t, Options{Listen: ":5000", Data: "d", CertFile: "c", KeyFile: "k"}.Check(), "")
}
