<?php
/**
 * The snippet in the head of every page. It is the same for every visitor, so pages may be cached.
 *
 * @package Samplit
 */

defined( 'ABSPATH' ) || exit;

function samplit_print_snippet(): void {
	$settings = samplit_settings();
	if ( '' === $settings['server'] || '' === $settings['token'] ) {
		return;
	}
	// First, so that it hears when the snippet is ready.
	if ( class_exists( 'WooCommerce' ) ) {
		wp_print_inline_script_tag( samplit_asset( 'visitor.js' ) );
	}
	$script = $settings['server'] . '/s/' . rawurlencode( $settings['token'] ) . '.js';
	$filled = array(
		'__SAMPLIT_SCRIPT__'  => esc_url( $script ),
		'__SAMPLIT_HIDE_MS__' => $settings['hide'],
	);
	echo strtr( samplit_asset( 'stub.html' ), $filled ), "\n"; // phpcs:ignore WordPress.Security.EscapeOutput
}

/** A file of the plugin. */
function samplit_asset( string $name ): string {
	return trim( (string) file_get_contents( dirname( __DIR__ ) . '/assets/' . $name ) );
}
