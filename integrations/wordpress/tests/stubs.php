<?php
/**
 * As much of WordPress and WooCommerce as the plugin uses. What it registers, prints, queues and sends
 * is kept in `$stage`.
 *
 * @package Samplit
 */

const ABSPATH = '/';

$stage = (object) array(
	'actions'   => array(),
	'options'   => array(),
	'errors'    => array(),
	'scheduled' => array(),
	'sent'      => array(),
	'orders'    => array(),
	'answers'   => array(),
);

class WooCommerce {}

class WC_Order {
	public $meta  = array();
	public $saved = 0;
	private $total;
	public function __construct( string $total ) {
		$this->total = $total;
	}
	public function update_meta_data( string $key, string $value ): void {
		$this->meta[ $key ] = $value;
	}
	public function get_meta( string $key ): string {
		return $this->meta[ $key ] ?? '';
	}
	public function get_total(): string {
		return $this->total;
	}
	public function get_currency(): string {
		return 'EUR';
	}
	public function save(): void {
		++$this->saved;
	}
}

function add_action( string $hook, string $callback, int $priority = 10, int $arguments = 1 ): void {
	$GLOBALS['stage']->actions[ $hook ] = array( $callback, $arguments );
}
function do_action( string $hook, ...$arguments ): void {
	list( $callback, $count ) = $GLOBALS['stage']->actions[ $hook ];
	$callback( ...array_slice( $arguments, 0, $count ) );
}
function get_option( string $name, $default = false ) {
	return $GLOBALS['stage']->options[ $name ] ?? $default;
}
function delete_option( string $name ): void {
	unset( $GLOBALS['stage']->options[ $name ] );
}
function add_settings_error( string $setting, string $code, string $message ): void {
	$GLOBALS['stage']->errors[] = $code;
}
function register_setting( string $group, string $name, array $arguments ): void {
	$GLOBALS['stage']->check = $arguments['sanitize_callback'];
}
function add_options_page( string $title, string $menu, string $capability, string $slug, string $callback ): void {
	$GLOBALS['stage']->page = array( $capability, $callback );
}
function current_user_can( string $capability ): bool {
	return 'manage_options' === $capability;
}
function settings_fields( string $group ): void {
	echo '<input type="hidden" name="_wpnonce">';
}
function submit_button(): void {
	echo '<input type="submit">';
}
function __( string $text, string $domain ): string {
	return $text;
}
function esc_html_e( string $text, string $domain ): void {
	echo htmlspecialchars( $text );
}
function esc_attr( string $text ): string {
	return htmlspecialchars( $text, ENT_QUOTES );
}
function esc_url( string $url ): string {
	return htmlspecialchars( $url, ENT_QUOTES );
}
function wp_unslash( $value ) {
	return is_string( $value ) ? stripslashes( $value ) : $value;
}
function sanitize_text_field( string $text ): string {
	return trim( (string) preg_replace( '/[\r\n\t ]+/', ' ', strip_tags( $text ) ) );
}
function wp_print_inline_script_tag( string $script ): void {
	echo "<script>$script</script>\n";
}
function wp_json_encode( $value ) {
	return json_encode( $value );
}
function wc_get_order( $id ) {
	return $GLOBALS['stage']->orders[ $id ] ?? false;
}
function as_schedule_single_action( int $at, string $hook, array $arguments, string $group ): void {
	$GLOBALS['stage']->scheduled[] = array( $at - time(), $hook, $arguments );
}
function is_wp_error( $answer ): bool {
	return null === $answer;
}
function wp_remote_retrieve_response_code( array $answer ) {
	return $answer['status'];
}
/** Over the network, unless the test says what the next answer is. */
function wp_remote_post( string $url, array $request ) {
	$stage         = $GLOBALS['stage'];
	$stage->sent[] = array( $url, $request );
	if ( $stage->answers ) {
		return array_shift( $stage->answers );
	}
	$headers = array();
	foreach ( $request['headers'] as $name => $value ) {
		$headers[] = "$name: $value";
	}
	$http   = array(
		'method'        => 'POST',
		'header'        => $headers,
		'content'       => $request['body'],
		'timeout'       => $request['timeout'],
		'ignore_errors' => true,
	);
	$body   = file_get_contents( $url, false, stream_context_create( array( 'http' => $http ) ) );
	$status = (int) explode( ' ', $http_response_header[0] )[1];
	return array( 'status' => $status, 'body' => $body );
}
