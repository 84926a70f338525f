package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry/auth/keystone"
)

// storageGlance is the kind of storage, in the configuration, of images in Glance.
const storageGlance = "glance"

// GlanceOptions say which Glance has the images, in the projects of Keystone's users.
type GlanceOptions struct {
	Used      bool
	Region    string // the only one when empty
	Interface string // public, internal or admin; public when empty
	CACert    string // file; Keystone's, which Complete adds
	Insecure  bool   // plain HTTP to another host; as to Keystone, which Complete adds
}

// check returns what is wrong with the options.
func (o GlanceOptions) check() error {
	switch {
	case !o.Used && (o.Region != "" || o.Interface != ""):
		return errors.New("--keystone-region and --keystone-interface are for --glance")
	case !slices.Contains([]string{"", "public", "internal", "admin"}, o.Interface):
		return fmt.Errorf("--keystone-interface is public, internal or admin, not %q", o.Interface)
	}
	return nil
}

// override writes the options over the configuration.
func (o GlanceOptions) override(c *configuration.Configuration) {
	p := c.Storage[storageGlance]
	if p == nil {
		p = configuration.Parameters{}
	}
	if o.Region != "" {
		p["region"] = o.Region
	}
	if o.Interface != "" {
		p["interface"] = o.Interface
	}
	setStorage(c, storageGlance, p)
}

// ParseGlance returns which Glance has the images according to the configuration, over which the options are written. It
// refuses what makes no sense there, whether the options say it or the file.
func (o Options) ParseGlance(c *configuration.Configuration) (found GlanceOptions, err error) {
	p, used := c.Storage[storageGlance]
	if !used {
		return found, nil
	}
	found.Used = true
	for key, to := range map[string]*string{"region": &found.Region, "interface": &found.Interface} {
		if p[key] == nil {
			continue
		}
		text, ok := p[key].(string)
		if !ok {
			return found, fmt.Errorf("storage.glance.%s: %v is no text", key, p[key])
		}
		*to = text
	}
	users, err := glanceUsers(c)
	if err != nil {
		return found, err
	}
	found.CACert, found.Insecure = users.CACert, users.Insecure
	if c.Proxy.RemoteURL != "" {
		return found, errors.New("--glance and proxy.remoteurl exclude each other: a cache has a storage of its own")
	}
	o.Glance = found
	return found, errors.Join(found.check(), o.checkGlance())
}

// glanceUsers returns how Keystone is asked, whose users have the images.
func glanceUsers(c *configuration.Configuration) (keystone.Options, error) {
	p, ok := c.Auth["keystone"]
	if !ok || len(c.Auth) != 1 {
		return keystone.Options{}, errors.New("--glance needs --keystone, or auth.keystone and no other logins: images are in its users' projects")
	}
	users, err := keystone.Parse(p)
	if err != nil {
		return users, fmt.Errorf("auth.keystone: %w", err)
	}
	users.Glance = true
	return users, users.Check()
}

// checkGlance refuses what makes no sense where images are in Glance.
func (o Options) checkGlance() error {
	if !o.Glance.Used {
		return nil
	}
	for _, one := range []struct {
		given     bool
		flag, why string
	}{
		{o.Data != "", "--data", "nothing is stored here"},
		{o.S3.Bucket != "", "--s3-bucket", "nothing is stored there"},
		{o.Proxy.URL != "", "--proxy", "a cache has a storage of its own"},
		{o.Quota != 0, "--quota", "Glance has quotas of its own"},
		{o.Control != "", "--control", "'ndock image gc' collects garbage there"},
		{o.Htpasswd != "", "--htpasswd", "images are those of Keystone's users"},
		{o.Keystone.Read != "" && o.Keystone.Read != keystone.ReadNone, "--keystone-read", "Glance decides who reads"},
		{len(o.Keystone.PushRoles) > 0, "--keystone-push-role", "Glance decides who pushes"},
	} {
		if one.given {
			return fmt.Errorf("--glance and %s exclude each other: %s", one.flag, one.why)
		}
	}
	if o.Keystone.URL == "" && o.Config == "" {
		return errors.New("--glance needs --keystone: images are in its users' projects")
	}
	return nil
}
