<?php
/**
 * The settings: which server, which site of it, for how long elements under test are hidden at most, and
 * the secret that orders are signed with.
 *
 * @package Samplit
 */

defined( 'ABSPATH' ) || exit;

/** The settings, each a string; empty where it is not set. */
function samplit_settings(): array {
	$saved = get_option( 'samplit', array() );
	$saved = is_array( $saved ) ? $saved : array();
	return array(
		'server' => (string) ( $saved['server'] ?? '' ),
		'token'  => (string) ( $saved['token'] ?? '' ),
		'secret' => (string) ( $saved['secret'] ?? '' ),
		'hide'   => (string) ( $saved['hide'] ?? '500' ),
	);
}

/** What of the form is kept. A secret field left empty keeps the secret, which is never shown. */
function samplit_check_settings( $given ): array {
	$given  = is_array( $given ) ? $given : array();
	$before = samplit_settings();
	$server = rtrim( trim( (string) ( $given['server'] ?? '' ) ), '/' );
	$token  = trim( (string) ( $given['token'] ?? '' ) );
	$secret = trim( (string) ( $given['secret'] ?? '' ) );
	$hide   = trim( (string) ( $given['hide'] ?? '500' ) );
	if ( '' !== $server && ! preg_match( '#^https?://[A-Za-z0-9.\-\[\]:]+$#', $server ) ) {
		add_settings_error( 'samplit', 'server', __( 'The server is an address such as https://ab.example.org, without a path.', 'samplit' ) );
		$server = $before['server'];
	}
	if ( '' !== $token && ! preg_match( '/^pk_[A-Za-z0-9_-]{43}$/', $token ) ) {
		add_settings_error( 'samplit', 'token', __( 'The token begins with pk_ and has 46 characters.', 'samplit' ) );
		$token = $before['token'];
	}
	if ( ! preg_match( '/^[0-9]{1,4}$/', $hide ) || (int) $hide > 1000 ) {
		add_settings_error( 'samplit', 'hide', __( 'Elements are hidden for 0 to 1000 milliseconds.', 'samplit' ) );
		$hide = $before['hide'];
	}
	return array(
		'server' => $server,
		'token'  => $token,
		'secret' => '' === $secret ? $before['secret'] : $secret,
		'hide'   => (string) (int) $hide,
	);
}

function samplit_register_settings(): void {
	register_setting(
		'samplit',
		'samplit',
		array(
			'type'              => 'array',
			'sanitize_callback' => 'samplit_check_settings',
			'show_in_rest'      => false,
		)
	);
}

function samplit_add_settings_page(): void {
	add_options_page( 'Samplit', 'Samplit', 'manage_options', 'samplit', 'samplit_print_settings_page' );
}

function samplit_print_settings_page(): void {
	if ( ! current_user_can( 'manage_options' ) ) {
		return;
	}
	$settings = samplit_settings();
	$hint     = '' === $settings['secret'] ? '' : __( 'set; leave empty to keep it', 'samplit' );
	?>
	<div class="wrap">
		<h1>Samplit</h1>
		<form action="options.php" method="post">
			<?php settings_fields( 'samplit' ); ?>
			<table class="form-table" role="presentation">
				<tr>
					<th><label for="samplit-server"><?php esc_html_e( 'Server', 'samplit' ); ?></label></th>
					<td><input id="samplit-server" class="regular-text" type="url" name="samplit[server]"
						value="<?php echo esc_attr( $settings['server'] ); ?>" placeholder="https://ab.example.org"></td>
				</tr>
				<tr>
					<th><label for="samplit-token"><?php esc_html_e( 'Token of the installation', 'samplit' ); ?></label></th>
					<td><input id="samplit-token" class="regular-text" type="text" name="samplit[token]"
						value="<?php echo esc_attr( $settings['token'] ); ?>" placeholder="pk_…"></td>
				</tr>
				<tr>
					<th><label for="samplit-hide"><?php esc_html_e( 'Hide elements for at most (ms)', 'samplit' ); ?></label></th>
					<td><input id="samplit-hide" class="small-text" type="number" min="0" max="1000" name="samplit[hide]"
						value="<?php echo esc_attr( $settings['hide'] ); ?>"></td>
				</tr>
				<tr>
					<th><label for="samplit-secret"><?php esc_html_e( 'Signing secret, for orders', 'samplit' ); ?></label></th>
					<td><input id="samplit-secret" class="regular-text" type="password" name="samplit[secret]"
						value="" autocomplete="off" placeholder="<?php echo esc_attr( $hint ); ?>"></td>
				</tr>
			</table>
			<?php submit_button(); ?>
		</form>
	</div>
	<?php
}
