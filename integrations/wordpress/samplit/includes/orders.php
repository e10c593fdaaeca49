<?php
/**
 * Orders of WooCommerce: the visitor is noted at the checkout, and the order sent in the background.
 *
 * A page of a shop must not wait for us, so an order is queued: by Action Scheduler, which comes with
 * WooCommerce, else by wp-cron. What is not taken is sent again, later and later, for about two days.
 *
 * @package Samplit
 */

defined( 'ABSPATH' ) || exit;

/** Seconds before each repeat. */
const SAMPLIT_RETRIES = array( 60, 300, 1800, 7200, 21600, 43200, 86400 );

/** The visitor of this request, from the cookie that the snippet leaves; empty where there is none. */
function samplit_visitor(): string {
	if ( isset( $_SERVER['HTTP_SEC_GPC'] ) && '1' === $_SERVER['HTTP_SEC_GPC'] ) {
		return '';
	}
	$visitor = isset( $_COOKIE['samplit_order_visitor'] ) ? wp_unslash( $_COOKIE['samplit_order_visitor'] ) : '';
	$visitor = is_string( $visitor ) ? sanitize_text_field( $visitor ) : '';
	return strlen( $visitor ) <= 255 ? $visitor : '';
}

/** Notes the visitor on an order that is about to be saved. */
function samplit_note_visitor( $order ): void {
	$visitor = samplit_visitor();
	if ( '' !== $visitor ) {
		$order->update_meta_data( '_samplit_visitor', $visitor );
	}
}

/** The same at the checkout of blocks, which saves its order before. */
function samplit_note_visitor_of_block( $order ): void {
	samplit_note_visitor( $order );
	$order->save();
}

/** Queues an order of a known visitor, once. */
function samplit_queue_order( $order_id ): void {
	$settings = samplit_settings();
	$order    = wc_get_order( $order_id );
	if ( '' === $settings['secret'] || ! $order ) {
		return;
	}
	if ( ! $order->get_meta( '_samplit_visitor' ) || $order->get_meta( '_samplit_queued' ) ) {
		return;
	}
	$order->update_meta_data( '_samplit_queued', '1' );
	$order->save();
	samplit_schedule( (int) $order_id, 0, 0 );
}

function samplit_schedule( int $order_id, int $attempt, int $seconds ): void {
	$arguments = array( $order_id, $attempt );
	if ( function_exists( 'as_schedule_single_action' ) ) {
		as_schedule_single_action( time() + $seconds, 'samplit_send_order', $arguments, 'samplit' );
	} else {
		wp_schedule_single_event( time() + $seconds, 'samplit_send_order', $arguments );
	}
}

/** Sends an order; queues it again where nobody took it and a repeat may help. */
function samplit_send_order( $order_id, $attempt = 0 ): void {
	$settings = samplit_settings();
	$order    = wc_get_order( $order_id );
	if ( '' === $settings['secret'] || '' === $settings['server'] || ! $order ) {
		return;
	}
	$body      = (string) wp_json_encode(
		array(
			'order_id'   => (int) $order_id,
			'visitor_id' => (string) $order->get_meta( '_samplit_visitor' ),
			'total'      => (string) $order->get_total(),
			'currency'   => (string) $order->get_currency(),
		)
	);
	$timestamp = (string) time();
	$answer    = wp_remote_post(
		$settings['server'] . '/integrations/wordpress/orders',
		array(
			'timeout'     => 10,
			'redirection' => 0,
			'headers'     => array(
				'Content-Type'         => 'application/json',
				'Samplit-Installation' => $settings['token'],
				'Samplit-Timestamp'    => $timestamp,
				'Samplit-Delivery'     => 'order-' . (int) $order_id,
				'Samplit-Signature'    => hash_hmac( 'sha256', $timestamp . '.' . $body, $settings['secret'] ),
			),
			'body'        => $body,
		)
	);
	$status = is_wp_error( $answer ) ? 0 : (int) wp_remote_retrieve_response_code( $answer );
	if ( $status >= 200 && $status < 300 ) {
		return;
	}
	// An order that makes no sense to the server never will. A secret or a token may yet be mended.
	$is_hopeless = in_array( $status, array( 400, 413, 415, 422 ), true );
	if ( ! $is_hopeless && isset( SAMPLIT_RETRIES[ $attempt ] ) ) {
		samplit_schedule( (int) $order_id, (int) $attempt + 1, SAMPLIT_RETRIES[ $attempt ] );
	}
}
