package image

import (
	"strings"
	"testing"
)

func TestParseReference(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Reference{
		"nginx":                             {Transport: Engine, Name: "nginx"},
		"nginx:1":                           {Transport: Engine, Name: "nginx:1"},
		"sha256:0123":                       {Transport: Engine, Name: "sha256:0123"},
		"localhost:5000/web:1":              {Transport: Engine, Name: "localhost:5000/web:1"},
		"docker:24":                         {Transport: Engine, Name: "docker:24"}, // an image of that name
		"docker-daemon:oci:1":               {Transport: Engine, Name: "oci:1"},
		"dir:1":                             {Transport: Engine, Name: "dir:1"},
		"[::1]:5000/web:1":                  {Transport: Engine, Name: "[::1]:5000/web:1"},
		"site/web:1":                        {Transport: Engine, Name: "site/web:1"},
		"site/web@sha256:0":                 {Transport: Engine, Name: "site/web@sha256:0"},
		"docker://host:5000/web:1@sha256:0": {Transport: Registry, Name: "host:5000/web:1@sha256:0"},
		"docker-archive:/tmp/a.tar":         {Transport: DockerArchive, Path: "/tmp/a.tar"},
		"docker-archive:a.tar:web:1":        {Transport: DockerArchive, Path: "a.tar", Name: "web:1"},
		"oci:dir:tag":                       {Transport: OCILayout, Path: "dir", Name: "tag"},
		"oci-archive:a.tar":                 {Transport: OCIArchive, Path: "a.tar"},
		"glance:my image":                   {Transport: Glance, Name: "my image"},
		"-":                                 {Transport: Stream},
	} {
		got, err := ParseReference(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "no name", "docker://": "no name", "docker-daemon:": "no name", "oci:": "names no file", "oci-archive::tag": "names no file", "glance:": "no name",
		"ftp://host/web": "there is no transport ftp", "dir:/tmp/web": "there is no transport dir", "dir:./web": "there is no transport dir",
		"containers-storage:docker.io/library/web:1": "there is no transport containers-storage", "docker:/web:1": "there are docker://",
		"docker:registry.example.com/web:1": "there are docker://", "/tmp/web.tar": "write docker-archive:/tmp/web.tar, or oci:/tmp/web.tar for a layout",
		"./web.tar": "is a path", "../web": "is a path",
	} {
		if got, err := ParseReference(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v; want %q", text, got, err, want)
		}
	}
}

// FuzzParseReference: String returns what ParseReference reads as the same reference.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"nginx:1", "docker://a/b:c", "oci:d:t", "docker-archive:f", "-", "docker:24", "x://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := ParseReference(text)
		if err != nil {
			return
		}
		if first.Transport == Engine {
			text = string(Engine) + ":" + first.Name
		} else {
			text = first.String()
		}
		if second, err := ParseReference(text); err != nil || second != first {
			t.Fatalf("%+v became %+v by %q: %v", first, second, text, err)
		}
	})
}

// TestSchemeInName: a registry's name with a scheme is refused, and the error says what to write instead.
func TestSchemeInName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"docker://http://127.0.0.1:5000/web:1":  "docker://127.0.0.1:5000/web:1",
		"docker://https://127.0.0.1:5000/web:1": "docker://127.0.0.1:5000/web:1",
		"docker://HTTPS://127.0.0.1:5000/web:1": "docker://127.0.0.1:5000/web:1",
	} {
		if _, err := ParseReference(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "name.Insecure") {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestOwnName(t *testing.T) {
	for text, want := range map[string]string{
		"nginx:1": "nginx:1", "docker-daemon:nginx": "nginx", "docker://a.example/b:1": "a.example/b:1", "glance:web@1": "web@1",
		"docker-archive:a/b.tar": "a/b.tar", "oci:dir:v2": "dir:v2", "-": "",
	} {
		reference, err := ParseReference(text)
		if got := reference.OwnName(); err != nil || got != want {
			t.Errorf("%q: %q (%v), want %q", text, got, err, want)
		}
	}
}
