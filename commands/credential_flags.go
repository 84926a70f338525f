package commands

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// credentialFlags are those that openstackclient has for the settings of a cloud, by the names of these in clouds.yaml. They have
// no variables: which of them count for a cloud of clouds.yaml, package clouds knows.
func credentialFlags() []cli.Flag {
	var all []cli.Flag
	for _, flag := range credentialSettings {
		name, usage, _ := strings.Cut(flag, ": ")
		all = append(all, &cli.StringFlag{
			Name: credentialFlag(name), Usage: usage, Category: credentialCategory, TakesFile: strings.HasPrefix(usage, "`FILE`"),
		})
	}
	return all
}

const credentialCategory = "Credentials, before those of clouds.yaml and of OS_* variables"

func isCredential(flag cli.Flag) bool {
	categorized, ok := flag.(cli.CategorizableFlag)
	return ok && categorized.GetCategory() == credentialCategory
}

var credentialSettings = []string{
	"auth_url: `URL` of Keystone",
	"auth_type: `TYPE` of login, such as password, token or v3applicationcredential",
	"username: `NAME` of the user",
	"user_id: `ID` of the user",
	"user_domain_name: `NAME` of the user's domain",
	"user_domain_id: `ID` of the user's domain",
	"password: `PASSWORD` of the user, which others on this machine can see in the list of processes",
	"passcode: `PASSCODE` for v3totp",
	"token: `TOKEN` to log in with",
	"application_credential_id: `ID` of an application credential",
	"application_credential_name: `NAME` of an application credential",
	"application_credential_secret: `SECRET` of an application credential, which others can see, too",
	"project_name: `NAME` of the project",
	"project_id: `ID` of the project",
	"project_domain_name: `NAME` of the project's domain",
	"project_domain_id: `ID` of the project's domain",
	"system_scope: `SCOPE` of the login, all, in place of a project",
	"region_name: `REGION` of the services",
	"interface: `INTERFACE` of the services: public, internal or admin",
	"cacert: `FILE` with the certificates of the authorities to trust",
	"cert: `FILE` with a certificate to show",
	"key: `FILE` with the certificate's key",
}

func credentialFlag(setting string) string { return "os-" + strings.ReplaceAll(setting, "_", "-") }

// givenCredentials returns the settings that stand in the command line.
func givenCredentials(c *cli.Context) map[string]string {
	given := map[string]string{}
	for _, flag := range credentialSettings {
		name, _, _ := strings.Cut(flag, ": ")
		if text := c.String(credentialFlag(name)); text != "" {
			given[name] = text
		}
	}
	return given
}
